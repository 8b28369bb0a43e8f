// The clients of a caller, and checks of errors.
import assert from "node:assert/strict";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** Returns the value of an environment variable. */
export function environment(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

/** Returns a client of a service that sends the token of a role. */
export function client<Service extends DescService>(service: Service, role: string) {
  const transport = createGrpcTransport({
    baseUrl: `http://${environment("ADDRESS")}`,
    defaultTimeoutMs: 30_000,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${environment(`TOKEN_${role.toUpperCase()}`)}`);
        return next(request);
      },
    ],
  });
  return createClient(service, transport);
}

/** Requires that a call fails with a code and a reason, and returns the error. */
export async function refused(call: Promise<unknown>, code: Code, reason: string): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    const failed = ConnectError.from(error);
    assert.equal(failed.code, code, failed.message);
    assert.deepEqual(failed.findDetails(ErrorInfoSchema).map((info) => info.reason), [reason]);
    return failed;
  }
  assert.fail("the call succeeded");
}

/** Returns all messages of a stream. */
export async function receive<Message>(stream: AsyncIterable<Message>): Promise<Message[]> {
  const messages = [];
  for await (const message of stream) {
    messages.push(message);
  }
  return messages;
}
