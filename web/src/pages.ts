// All pages: the one table that routing, navigation and rights read.

import type { Role } from "./login/session.ts";
import type { Page } from "./shell/page.ts";

const CLINICAL: readonly Role[] = ["commune-worker", "doctor", "coordinator", "radiologist"];

export const PAGES: readonly Page[] = [
  {
    path: "/",
    title: "app.name",
    open: true,
    frame: "alone",
    load: async () => (await import("./shell/start_page.tsx")).StartPage,
  },
  {
    path: "/login/back",
    title: "login.working",
    open: true,
    frame: "alone",
    load: async () => (await import("./login/back_page.tsx")).BackPage,
  },
  {
    path: "/day",
    title: "nav.day",
    nav: { icon: "day", key: "d" },
    load: async () => (await import("./day/day_page.tsx")).DayPage,
  },
  {
    path: "/requests",
    title: "nav.requests",
    nav: { icon: "requests", key: "r" },
    roles: CLINICAL,
    load: async () => (await import("./requests/requests_page.tsx")).RequestsPage,
  },
  {
    path: "/requests/new",
    title: "request.new",
    roles: CLINICAL,
    load: async () => (await import("./requests/new_page.tsx")).NewRequestPage,
  },
  {
    path: "/requests/:id",
    title: "nav.requests",
    roles: CLINICAL,
    load: async () => (await import("./requests/request_page.tsx")).RequestPage,
  },
  {
    path: "/patients",
    title: "nav.patients",
    nav: { icon: "patients", key: "p" },
    roles: [...CLINICAL, "patient"],
    load: async () => (await import("./patients/patients_page.tsx")).PatientsPage,
  },
  {
    path: "/patients/:id",
    title: "nav.patients",
    roles: [...CLINICAL, "patient"],
    load: async () => (await import("./patients/patient_page.tsx")).PatientPage,
  },
  {
    path: "/images",
    title: "nav.images",
    nav: { icon: "images", key: "i" },
    roles: [...CLINICAL, "patient"],
    load: async () => (await import("./images/studies_page.tsx")).StudiesPage,
  },
  {
    path: "/images/:study",
    title: "nav.images",
    roles: [...CLINICAL, "patient"],
    frame: "wide",
    theme: "dark",
    load: async () => (await import("./images/viewer_page.tsx")).ViewerPage,
  },
  {
    path: "/rooms/:id",
    title: "nav.rooms",
    roles: [...CLINICAL, "patient"],
    frame: "wide",
    theme: "dark",
    load: async () => (await import("./room/room_page.tsx")).RoomPage,
  },
  {
    path: "/guest",
    title: "guest.title",
    open: true,
    frame: "alone",
    load: async () => (await import("./room/guest_page.tsx")).GuestPage,
  },
  {
    path: "/console",
    title: "nav.console",
    nav: { icon: "console", key: "c" },
    load: async () => (await import("./console/console_page.tsx")).ConsolePage,
  },
];
