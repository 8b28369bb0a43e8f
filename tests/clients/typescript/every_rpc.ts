// Makes the calls of requests.json with the generated clients, and prints the name of each method.
import { readFileSync } from "node:fs";
import { fromJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { client, environment, receive } from "./client.ts";
import { AuditService } from "./gen/outflow/v1/audit_service_pb.js";
import { ConnectionService } from "./gen/outflow/v1/connection_service_pb.js";
import { ExportService } from "./gen/outflow/v1/export_service_pb.js";
import { IdentityService } from "./gen/outflow/v1/identity_service_pb.js";

type Entry = { method: string; caller: string; request: JsonValue; save?: string[] };
type Call = (request: MessageShape<DescMessage>) => Promise<any> | AsyncIterable<any>;

const services = [AuditService, ConnectionService, ExportService, IdentityService];

let saved = "";
for (const entry of JSON.parse(readFileSync(environment("REQUESTS"), "utf8")) as Entry[]) {
  const [serviceName, methodName] = entry.method.split("/");
  const service = services.find((found) => found.typeName === serviceName);
  const method = service?.methods.find((found) => found.name === methodName);
  if (service === undefined || method === undefined) {
    throw new Error(`${entry.method} does not exist`);
  }
  const text = JSON.stringify(entry.request)
    .replaceAll("{parent}", environment("ORGANIZATION"))
    .replaceAll("{saved}", saved);
  const call = (client(service, entry.caller) as unknown as Record<string, Call>)[method.localName];
  const answer = call(fromJson(method.input, JSON.parse(text)));
  const message = Symbol.asyncIterator in answer ? (await receive(answer))[0] : await answer;
  if (entry.save) {
    saved = entry.save.reduce((value, field) => value[field], message);
  }
  console.log(entry.method);
}
