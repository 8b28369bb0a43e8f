// The walk-through with the generated clients. `languages.py` runs it, and sets the environment.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { equals } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { client, environment, receive, refused } from "./client.ts";
import { ErrorInfoSchema, PreconditionFailureSchema } from "./gen/google/rpc/error_details_pb.js";
import { ConnectionService } from "./gen/outflow/v1/connection_service_pb.js";
import {
  Export_CallerAccess,
  Export_State,
  PayloadField_Transform,
  PayloadSchema,
  ScheduleSchema,
  type Export,
} from "./gen/outflow/v1/export_pb.js";
import { ExportService } from "./gen/outflow/v1/export_service_pb.js";
import { ExportRun_State } from "./gen/outflow/v1/run_pb.js";

const parent = environment("ORGANIZATION");
const partner = `${parent}/connections/partner`;
const other = `${parent}/connections/other`;
const names = ["one", "two", "three"].map((id) => `${parent}/exports/${id}`);
const schedule = {
  enabled: true,
  timing: { case: "cron" as const, value: { expression: "0 6 * * MON", timeZone: "Europe/Berlin" } },
};
const admin = { connections: client(ConnectionService, "admin"), exports: client(ExportService, "admin") };
const ann = { connections: client(ConnectionService, "contributor"), exports: client(ExportService, "contributor") };

function credential() {
  const values = { private_key: environment("SSH_PRIVATE_KEY") };
  return { authMethod: "private_key", source: { case: "inline" as const, value: { values } } };
}

function newConnection(connectionId: string, displayName: string, members: string[]) {
  const properties = {
    host: "127.0.0.1",
    port: Number(environment("SSH_PORT")),
    username: environment("SSH_USERNAME"),
    host_key: environment("SSH_HOST_KEY"),
  };
  const connection = { displayName, connectionType: "connectionTypes/sftp", properties, sharing: { members } };
  return { parent, connectionId, connection, credential: credential() };
}

async function listsPageByPage() {
  const found: string[] = [];
  let pageToken = "";
  do {
    const page = await admin.connections.listConnectionTypes({ pageSize: 3, pageToken });
    found.push(...page.connectionTypes.map((type) => type.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert(new Set(found).size === found.length && found.length > 3 && found.includes("connectionTypes/sftp"), `${found}`);
}

async function connects() {
  const request = { ...newConnection("partner", "Partner SFTP – weekly segments", []), requestId: randomUUID() };
  const checked = await admin.connections.createConnection({ ...request, validateOnly: true });
  assert.equal(checked.connection?.name, partner);
  await refused(admin.connections.getConnection({ name: partner }), Code.NotFound, "RESOURCE_NOT_FOUND");
  const created = await admin.connections.createConnection(request);
  const again = await admin.connections.createConnection(request);
  assert.deepEqual(again, created, "the repeated request has no second effect");

  const { connection } = await admin.connections.updateConnection({
    connection: { name: partner, displayName: "ignored", description: "Weekly segments" },
    updateMask: { paths: ["description"] },
  });
  assert.equal(connection?.description, "Weekly segments");
  assert.equal(connection?.displayName, created.connection?.displayName);
  const rotated = await admin.connections.rotateConnectionCredential({ name: partner, credential: credential() });
  const revisions = [created, rotated].map((answer) => answer.connection!.credentialStatus!.revision);
  assert(revisions[1] > revisions[0], `${revisions}`);
  const tested = await admin.connections.testConnection({ parent, target: { case: "name", value: partner } });
  assert(tested.passed);
}

async function shares() {
  const before = await ann.connections.searchUsableConnections({ parent });
  assert.equal(before.usableConnections.length, 0);
  await admin.connections.shareConnection({ name: partner, allContributors: true });
  const [usable, ...rest] = (await ann.connections.searchUsableConnections({ parent })).usableConnections;
  assert.deepEqual([usable.name, usable.connectionType, rest.length], [partner, "connectionTypes/sftp", 0]);
  await refused(ann.connections.getConnection({ name: partner }), Code.PermissionDenied, "ROLE_REQUIRED");
}

async function exportsAreMade(): Promise<Export[]> {
  const made = [];
  const fields = [{ field: "email", transform: PayloadField_Transform.SHA256_NORMALIZED }, { field: "segment" }];
  for (const name of names) {
    const created = await ann.exports.createExport({
      parent,
      exportId: name.split("/").at(-1),
      export: {
        displayName: name,
        connection: partner,
        payload: { tables: [{ table: "customers", fields }] },
        schedule,
        destinationSettings: { folder: "weekly", file_format: "csv" },
      },
    });
    made.push(created.export!);
  }
  const { occurrences } = await ann.exports.previewSchedule({ parent, schedule, count: 3 });
  assert.equal(occurrences.length, 3);
  assert(timestampDate(occurrences[0].time!) > new Date());
  assert.deepEqual(occurrences[0].time, made[0].nextRunTime);
  return made;
}

async function runs() {
  const shown = await ann.exports.previewExport({ parent, target: { case: "name", value: names[0] }, rows: 2 });
  assert.deepEqual(shown.files.map((file) => [file.sampleRows, file.sample.split(",")[0]]), [[2, "email"]]);
  const started = await ann.exports.runExport({ name: names[0] });
  const name = started.run!.name;
  const states = await receive(ann.exports.watchExportRun({ name }));
  assert.equal(states.at(-1)?.run?.state, ExportRun_State.SUCCEEDED);
  const stats = (await ann.exports.getExportRun({ name })).run!.stats!;
  assert(stats.rowsRead > 0n && stats.rowsRead === stats.rowsWritten && stats.files === 1);
}

async function unshares() {
  const unshared = await admin.connections.unshareConnection({ name: partner, allContributors: true });
  assert.equal(unshared.affectedExportCount, 3n);
  const listed = (await ann.exports.listExports({ parent })).exports;
  assert.deepEqual(listed.map((found) => found.name), names);
  for (const found of listed) {
    assert.deepEqual([found.state, found.callerAccess], [Export_State.ACTIVE, Export_CallerAccess.VIEW]);
  }
  const edit = ann.exports.updateExport({ export: { name: names[0], displayName: "Mine" } });
  await refused(edit, Code.PermissionDenied, "NOT_PERMITTED");
}

/** Returns the etag of the exports that block the deletion. */
async function isInUse(): Promise<string> {
  const remove = admin.connections.deleteConnection({ name: partner });
  const error = await refused(remove, Code.FailedPrecondition, "CONNECTION_IN_USE");
  assert(error.rawMessage.startsWith("3 exports use this connection"), error.rawMessage);
  const [failure] = error.findDetails(PreconditionFailureSchema);
  assert.deepEqual(failure.violations.map((violation) => violation.subject), names);
  const [info] = error.findDetails(ErrorInfoSchema);

  const blocking = [];
  let etag = "";
  for await (const { event } of admin.connections.streamBlockingExports({ name: partner })) {
    switch (event.case) {
      case "blocking":
        blocking.push(event.value.name);
        break;
      case "summary":
        assert.equal(event.value.blockingExportCount, 3n);
        etag = event.value.blockingSetEtag;
    }
  }
  assert.deepEqual(blocking, names);
  assert.equal(etag, info.metadata.blocking_set_etag);
  return etag;
}

async function detaches(made: Export[], blockingSetEtag: string) {
  await admin.exports.deleteExport({ name: names[0] });
  await admin.exports.detachExport({ name: names[1], reason: "the partner moves" });
  const attachedSet = { connection: partner, blockingSetEtag };
  const { detachedCount } = await admin.exports.batchDetachExports({ parent, attachedSet });
  assert.equal(detachedCount, 1n);
  for (const before of made.slice(1)) {
    const found = (await ann.exports.getExport({ name: before.name })).export!;
    assert.deepEqual([found.state, found.nextRunTime], [Export_State.INACTIVE, undefined]);
    assert.deepEqual([found.owner, found.callerAccess], ["user:ann", Export_CallerAccess.MANAGE]);
    assert(equals(PayloadSchema, found.payload!, before.payload!));
    assert(equals(ScheduleSchema, found.schedule!, before.schedule!));
    assert.deepEqual(found.destinationSettings, before.destinationSettings);
    await refused(ann.exports.runExport({ name: before.name }), Code.FailedPrecondition, "EXPORT_INACTIVE");
  }
}

async function attachesAgain() {
  await admin.connections.deleteConnection({ name: partner });
  await refused(admin.connections.getConnection({ name: partner }), Code.NotFound, "RESOURCE_NOT_FOUND");
  await admin.connections.createConnection(newConnection("other", "Another SFTP", ["user:ann"]));
  const attached = (await ann.exports.attachExport({ name: names[1], connection: other })).export!;
  assert.equal(attached.state, Export_State.ACTIVE);
  assert(attached.nextRunTime);
}

async function endsAtTheDeadline() {
  const stream = admin.connections.streamBlockingExports({ name: other, follow: true }, { timeoutMs: 500 });
  await assert.rejects(receive(stream), (error) => ConnectError.from(error).code === Code.DeadlineExceeded);
}

await listsPageByPage();
await connects();
await shares();
const made = await exportsAreMade();
await runs();
await unshares();
await detaches(made, await isInUse());
await attachesAgain();
await endsAtTheDeadline();
console.log("walk-through: passed");
