"use strict";

const SEVERITIES = {
  fatal: "Lỗi nghiêm trọng · Fatal",
  error: "Lỗi · Error",
  warning: "Cảnh báo · Warning",
  information: "Thông tin · Information",
};

const EXAMPLE = {
  resourceType: "Patient",
  name: [{ use: "official", family: "Nguyễn", given: ["Thị Lan"] }],
  gender: "nữ",
  birthDate: "1984-13-02",
};

const form = document.getElementById("check");
const resource = document.getElementById("resource");
const profile = document.getElementById("profile");
const result = document.getElementById("result");
const submit = form.querySelector("[type=submit]");

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function row(issue) {
  const item = element("li", issue.severity, "");
  const where = (issue.expression || []).join(", ");
  item.append(element("p", "where", [SEVERITIES[issue.severity], where].filter(Boolean).join(" · ")));
  item.append(element("p", "text", issue.details?.text || issue.code));
  if (issue.diagnostics) item.append(element("p", "source", issue.diagnostics));
  return item;
}

function verdict(issues) {
  const count = issues.filter((issue) => issue.severity === "error" || issue.severity === "fatal").length;
  if (count === 0) return element("p", "verdict good", "Hợp lệ: không có lỗi. · Valid: no errors.");
  return element("p", "verdict bad", `${count} lỗi · ${count} ${count === 1 ? "error" : "errors"}`);
}

function show(outcome) {
  const list = document.createElement("ol");
  list.append(...outcome.issue.map(row));
  result.replaceChildren(verdict(outcome.issue), list);
}

async function check() {
  const text = resource.value.trim();
  const kind = text.startsWith("<") ? "application/fhir+xml" : "application/fhir+json";
  const query = profile.value ? `?profile=${encodeURIComponent(profile.value)}` : "";
  const answer = await fetch(`fhir/$validate${query}`, { method: "POST", headers: { "Content-Type": kind }, body: text });
  show(await answer.json());
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  submit.disabled = true;
  try {
    await check();
  } catch {
    result.replaceChildren(element("p", "verdict bad", "Máy chủ không trả lời. · The server does not answer."));
  } finally {
    submit.disabled = false;
    result.focus();
  }
});

document.getElementById("example").addEventListener("click", () => {
  resource.value = JSON.stringify(EXAMPLE, null, 2);
  resource.focus();
});
