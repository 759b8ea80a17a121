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

const finder = document.getElementById("search");
const query = document.getElementById("query");
const found = document.getElementById("found");
const next = document.getElementById("next");
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

function summary(resource) {
  const name = resource.name?.[0]?.text || resource.name?.[0]?.family || (typeof resource.name === "string" ? resource.name : "");
  const code = resource.code?.text || resource.code?.coding?.[0]?.display || resource.code?.coding?.[0]?.code || "";
  return [name, code, resource.status, resource.birthDate].filter(Boolean).join(" · ");
}

function matchRow(entry) {
  const resource = entry.resource;
  const item = element("li", entry.search?.mode || "match", "");
  const details = document.createElement("details");
  const line = document.createElement("summary");
  line.append(element("code", "", resource ? `${resource.resourceType}/${resource.id || ""}` : entry.request?.url || ""));
  if (resource) line.append(document.createTextNode(` ${summary(resource)}`));
  details.append(line, element("pre", "", JSON.stringify(resource || entry, null, 2)));
  item.append(details);
  return item;
}

function shown(body, milliseconds) {
  if (body.resourceType === "OperationOutcome") {
    const list = document.createElement("ol");
    list.append(...body.issue.map(row));
    return [list];
  }
  if (body.resourceType !== "Bundle") return [element("pre", "", planOf(body) || JSON.stringify(body, null, 2))];
  const total = body.total === undefined ? "" : ` / ${body.total}`;
  const list = document.createElement("ol");
  list.append(...(body.entry || []).map(matchRow));
  return [element("p", "verdict", `${(body.entry || []).length}${total} · ${Math.round(milliseconds)} ms`), list];
}

function planOf(body) {
  return body.parameter?.find((parameter) => parameter.name === "plan")?.valueString;
}

function below(url) {
  const at = url.indexOf("/fhir/");
  return at < 0 ? url : url.slice(at + 6);
}

async function ask(path) {
  const url = `fhir/${below(path.trim()).replace(/^\//, "")}`;
  const start = performance.now();
  try {
    const answer = await fetch(url, { headers: { Accept: "application/fhir+json" } });
    const body = await answer.json();
    found.replaceChildren(...shown(body, performance.now() - start));
    const following = (body.link || []).find((link) => link.relation === "next");
    next.hidden = !following;
    next.value = following?.url || "";
  } catch {
    found.replaceChildren(element("p", "verdict bad", "Máy chủ không trả lời. · The server does not answer."));
  }
  found.focus();
}

document.getElementById("base").textContent = new URL("fhir", document.baseURI).href;
finder.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(query.value);
});
document.getElementById("explain").addEventListener("click", () => {
  ask(`${query.value}${query.value.includes("?") ? "&" : "?"}_explain=true`);
});
next.addEventListener("click", () => ask(next.value));

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
