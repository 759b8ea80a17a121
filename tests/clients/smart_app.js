// A SMART app in a browser, written with the npm package fhirclient: it asks for a patient and reads the record.
const place = new URL(window.location.href);
const told = document.getElementById("told");
const state = document.getElementById("state");

function show(name, value) {
  state.textContent = name;
  told.textContent = typeof value === "string" ? value : JSON.stringify(value);
}

async function work() {
  if (!place.searchParams.get("code")) {
    await FHIR.oauth2.authorize({
      clientId: "So-kham",
      scope: "openid fhirUser launch/patient offline_access patient/*.rs",
      redirectUri: "index.html",
      iss: place.searchParams.get("iss"),
      pkceMode: "required",
    });
    return;
  }
  const client = await FHIR.oauth2.ready();
  const patient = await client.patient.read();
  const found = await client.request(`Observation?patient=${client.patient.id}`);
  const before = client.state.tokenResponse.access_token;
  await client.refresh();
  const again = await client.request(`Patient/${client.patient.id}`);
  show("done", {
    family: patient.name[0].family,
    observations: found.entry.length,
    user: client.user.fhirUser,
    refreshed: before !== client.state.tokenResponse.access_token && again.id === patient.id,
  });
}

work().catch((error) => show("failed", String(error)));
