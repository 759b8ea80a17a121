// Icons, drawn as lines on a square of 24. They go with a word, and say nothing to screen readers.

const PATHS = {
  day: "M4 7h16v13H4zM4 11h16M8 4v5M16 4v5M8 15h3",
  requests: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
  appointments: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 3",
  rooms: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  patients: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 4-6 8-6s8 2 8 6",
  images: "M3 4h18v16H3zM3 16l5-5 4 4 3-3 6 5M15.5 9h.01",
  facility: "M4 21V6l8-3 8 3v15M9 21v-5h6v5M9 9h.01M15 9h.01M9 13h.01M15 13h.01",
  work: "M12 3l9 17H3zM12 10v4M12 17h.01",
  admin:
    "M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  console: "M3 5h18v14H3zM7 9l3 3-3 3M12 15h5",
  dashboard: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  user: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 12.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM6.5 18.5c1-2.500 3-3.500 5.500-3.500s4.500 1 5.500 3.500",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  plus: "M12 5v14M5 12h14",
  check: "M5 12l5 5L20 6",
  urgent: "M12 3l9 17H3zM12 9v5M12 17h.01",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v6M12 7.500h.01",
  offline: "M3 3l18 18M8.500 16.500a5 5 0 0 1 7 0M5 13a10 10 0 0 1 4-2.500M19 13a10 10 0 0 0-5-2.800M12 20h.01",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 3",
  empty: "M4 13l3-8h10l3 8v6H4zM4 13h5l1.500 2.500h3L15 13h5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z",
  type: "M4 19l5-13 5 13M6 14h6M15 19l3-8 3 8M16 16h4",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M8 14h8",
  language: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  out: "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
  report: "M6 3h9l4 4v14H6zM9 12h7M9 16h5",
  pulse: "M3 12h4l2-6 4 12 2-6h6",
  pill: "M8 20a5 5 0 0 1-4-8l8-8a5 5 0 0 1 8 8l-8 8a5 5 0 0 1-4 0zM8.500 8.500l7 7",
  video: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  sign: "M3 20h18M5 16l9-11 4 3-9 11H5z",
  alert: "M12 3l9 17H3zM12 9v5M12 17h.01",
  window: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 3v18M12 7h6M12 12h9M12 17h6",
  zoom: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4M8 11h6M11 8v6",
  pan: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  scroll: "M12 3v18M8 7l4-4 4 4M8 17l4 4 4-4",
  length: "M4 20L20 4M4 16v4h4M16 4h4v4",
  angle: "M20 20H4L15 5M11 20a7 7 0 0 0-3-6",
  circle: "M12 18c5 0 9-2.500 9-6s-4-6-9-6-9 2.500-9 6 4 6 9 6z",
  probe: "M12 3v6M12 15v6M3 12h6M15 12h6M12 12h.01",
  arrow: "M5 19L19 5M10 5h9v9",
  invert: "M12 3v18M12 3a9 9 0 0 0 0 18M12 21a9 9 0 0 0 0-18",
  rotate: "M20 12a8 8 0 1 1-3-6M20 3v5h-5",
  flip: "M12 3v18M8 7L3 17h5zM16 7l5 10h-5z",
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  reset: "M4 12a8 8 0 1 0 3-6M4 3v5h5",
  star: "M12 3l3 6 6 1-4.500 4 1 6-5.500-3-5.500 3 1-6L3 10l6-1z",
  cube: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM12 12l8-4.500M12 12v9M12 12L4 7.500",
  two: "M3 4h18v16H3zM12 4v16",
  erase: "M4 15L14 5l6 6-8 8H8zM9 10l6 6M8 19h12",
  cross: "M12 2v20M2 12h20",
  mic: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zM6 11.500a6 6 0 0 0 12 0M12 17.500V21M9 21h6",
  mute: "M4 4l16 16M15 10V6a3 3 0 0 0-6-.500M9 9.500V12a3 3 0 0 0 4.500 2.600M6 11.500a6 6 0 0 0 9.500 4.800M18 11.500c0 .800-.100 1.500-.400 2.200M12 17.500V21M9 21h6",
  camera: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  dark: "M4 4l16 16M15 10l6-3v10l-3-1.500M15 12.500V6H8.500M5 6H3v12h12v-2",
  screen: "M3 5h18v11H3zM8 20h8M12 16v4",
  chat: "M4 5h16v11H10l-5 4v-4H4z",
  people:
    "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c0-3.500 3-5.500 6.500-5.500s6.500 2 6.500 5.500M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.800c2 .700 3.500 2.500 3.500 5.200",
  leave: "M4 15c5-5 11-5 16 0l-3 3-3-2v-2.500c-1.300-.400-2.700-.400-4 0V16l-3 2z",
  send: "M4 12l16-8-5 16-4-6zM11 14l9-10",
  clip: "M19 11l-8 8a5 5 0 0 1-7-7l8-8a3.500 3.500 0 0 1 5 5l-8 8a2 2 0 0 1-3-3l7-7",
  link: "M10 14a4 4 0 0 0 6 .500l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.500l-3 3a4 4 0 0 0 6 6l1-1",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
