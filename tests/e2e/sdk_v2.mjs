// node sdk_v2.mjs URL TOKEN REVISION: version 2 of the TypeScript SDK, for both eras; "auto" negotiates the revision.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { walk } from "./walk.mjs";

const [url, token, revision] = process.argv.slice(2);
const handshake = revision.startsWith("2025-");
const mode = handshake ? "legacy" : revision === "auto" ? "auto" : { pin: revision };

async function connect(bearer) {
  const options = { versionNegotiation: { mode }, ...(handshake && { supportedProtocolVersions: [revision] }) };
  const client = new Client({ name: "sdk-v2", version: "1" }, options);
  const headers = { Authorization: `Bearer ${bearer}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

await walk(connect, (client) => client.getNegotiatedProtocolVersion(), token);
