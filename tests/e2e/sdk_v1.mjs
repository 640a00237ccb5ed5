// node sdk_v1.mjs URL TOKEN: version 1 of the TypeScript SDK, which most clients use.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { walk } from "./walk.mjs";

const [url, token] = process.argv.slice(2);
let transport;

async function connect(bearer) {
  const client = new Client({ name: "sdk-v1", version: "1" });
  transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${bearer}` } },
  });
  await client.connect(transport);
  return client;
}

await walk(connect, () => transport.protocolVersion, token);
