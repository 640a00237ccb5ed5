// node oauth.mjs URL REDIRECT_URI: the TypeScript SDK connects with OAuth. It prints where the person is to go, as one
// line, reads where the person was sent back to, and ends with what it saw, as JSON.
import readline from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { auth, UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";

const [url, redirectUrl] = process.argv.slice(2);
const kept = {};
const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: "TypeScript SDK",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: (address) => console.log(String(address)),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
};
const open = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });

async function connected() {
  const client = new Client({ name: "oauth", version: "1" });
  await client.connect(open());
  return client;
}

const first = open();
try {
  await new Client({ name: "oauth", version: "1" }).connect(first);
  throw new Error("it was let in without a token");
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
}
const lines = readline.createInterface({ input: process.stdin });
const answer = new URL((await lines[Symbol.asyncIterator]().next()).value);
await first.finishAuth(answer.searchParams.get("code"));

const client = await connected();
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const added = await client.callTool({ name: "add_task", arguments: { title: "From TypeScript" } });
const before = kept.tokens;
await auth(provider, { serverUrl: url }); // renews, for there is a refresh token
const after = await (await connected()).callTool({ name: "list_tasks", arguments: {} });
lines.close();
console.log(JSON.stringify({ tools, added, after, scope: before.scope, renewed: before.access_token !== kept.tokens.access_token, tokens: kept.tokens, client_id: kept.client.client_id }));
process.exit(0);
