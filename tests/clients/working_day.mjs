// What a hospital's program does in a day, with the npm client fhir-kit-client: one line for each step that went well.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [folder, baseUrl] = process.argv.slice(2);
const { Client } = await import(pathToFileURL(`${folder}/node_modules/fhir-kit-client/dist/index.js`));
const client = new Client({ baseUrl });
const system = 'http://benhvien.example.vn/ma-benh-nhan';
const patient = (number, more = {}) => ({
  resourceType: 'Patient',
  name: [{ family: 'Phạm', given: [`Sơn ${number}`] }],
  identifier: [{ system, value: `kit-${number}` }],
  ...more,
});

async function refused(asking, status, code) {
  const error = await asking.then(() => assert.fail('it was not refused'), (failure) => failure);
  assert.equal(error.response?.status, status, String(error));
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  assert.equal(error.response.data.issue[0].code, code);
  return error.response.data.issue[0];
}

const steps = {
  async metadata() {
    assert.equal((await client.capabilityStatement()).fhirVersion, '4.0.1');
  },
  async create_read_update_delete() {
    const made = await client.create({ resourceType: 'Patient', body: patient(1) });
    assert.deepEqual(await client.read({ resourceType: 'Patient', id: made.id }), made);
    const options = { headers: { 'If-Match': 'W/"1"' } };
    const body = { ...made, active: true };
    const updated = await client.update({ resourceType: 'Patient', id: made.id, body, options });
    assert.equal(updated.meta.versionId, '2');
    await refused(client.update({ resourceType: 'Patient', id: made.id, body: made, options }), 412, 'conflict');
    assert.deepEqual(await client.vread({ resourceType: 'Patient', id: made.id, version: '1' }), made);
    await client.delete({ resourceType: 'Patient', id: made.id });
    await refused(client.read({ resourceType: 'Patient', id: made.id }), 410, 'deleted');
  },
  async patch() {
    const made = await client.create({ resourceType: 'Patient', body: patient(2) });
    const jsonPatch = [{ op: 'add', path: '/gender', value: 'male' }];
    const patched = await client.patch({ resourceType: 'Patient', id: made.id, jsonPatch });
    assert.equal(patched.gender, 'male');
  },
  async search_with_paging() {
    for (let number = 10; number < 35; number += 1) {
      await client.create({ resourceType: 'Patient', body: patient(number, { gender: 'unknown' }) });
    }
    const searchParams = { gender: 'unknown', _count: 10, _sort: 'identifier' };
    const values = [];
    let page = await client.search({ resourceType: 'Patient', searchParams });
    while (page) {
      values.push(...page.entry.map((entry) => entry.resource.identifier[0].value));
      page = await client.nextPage({ bundle: page });
    }
    assert.deepEqual(values, Array.from({ length: 25 }, (_, at) => `kit-${at + 10}`));
    const posted = { resourceType: 'Patient', searchParams: { name: 'pham', _summary: 'count' } };
    assert.ok((await client.search({ ...posted, options: { postSearch: true } })).total >= 25);
  },
  async conditional_update() {
    const searchParams = { identifier: `${system}|kit-50` };
    const made = await client.update({ resourceType: 'Patient', searchParams, body: patient(50) });
    const again = await client.update({ resourceType: 'Patient', searchParams, body: patient(50, { active: true }) });
    assert.equal(again.id, made.id);
  },
  async transaction_and_compartment() {
    const fullUrl = 'urn:uuid:0d2b9a4e-8c3f-4c57-9f0c-6b9b3a5f3c11';
    const coding = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'VR' };
    const encounter = { resourceType: 'Encounter', status: 'planned', class: coding, subject: { reference: fullUrl } };
    const entry = [
      { fullUrl, resource: patient(60), request: { method: 'POST', url: 'Patient' } },
      { resource: encounter, request: { method: 'POST', url: 'Encounter' } },
    ];
    const answer = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } });
    const id = answer.entry[0].response.location.split('/').at(-3);
    const compartment = { resourceType: 'Patient', id };
    const found = await client.search({ resourceType: 'Encounter', compartment });
    assert.equal(found.entry.length, 1);
    const { reference } = found.entry[0].resource.subject;
    assert.equal((await client.resolve({ reference })).id, id);
    const everything = await client.operation({ resourceType: 'Patient', id, name: 'everything', method: 'GET' });
    assert.equal(everything.entry.length, 2);
  },
  async batch() {
    const request = { method: 'GET', url: 'Patient/none' };
    const answer = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry: [{ request }] } });
    assert.match(answer.entry[0].response.status, /^404/);
  },
  async history() {
    const made = await client.create({ resourceType: 'Patient', body: patient(70) });
    const history = await client.history({ resourceType: 'Patient', id: made.id });
    assert.equal(history.entry[0].resource.id, made.id);
    assert.ok((await client.history({ resourceType: 'Patient' })).entry.length > 0);
    assert.ok((await client.history()).entry.length > 0);
  },
  async errors() {
    const wrong = client.create({ resourceType: 'Patient', body: { ...patient(80), birthDate: '31-12-1990' } });
    assert.deepEqual((await refused(wrong, 400, 'value')).expression, ['Patient.birthDate']);
    const unknown = client.search({ resourceType: 'Patient', searchParams: { birthday: '1990' } });
    assert.match((await refused(unknown, 400, 'invalid')).details.text, /birthdate/);
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(name);
}
