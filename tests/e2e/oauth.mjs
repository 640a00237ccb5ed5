// node oauth.mjs URL REDIRECT_URI: the TypeScript SDK connects with OAuth. It prints the address for the person as
// one line, reads the address of the redirect, and ends with a report as JSON.
import readline from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { auth, UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";

const [url, redirectUrl] = process.argv.slice(2);
const store = {};
const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: "TypeScript SDK",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  clientInformation: () => store.client,
  saveClientInformation: (client) => void (store.client = client),
  tokens: () => store.tokens,
  saveTokens: (tokens) => void (store.tokens = tokens),
  redirectToAuthorization: (address) => console.log(String(address)),
  saveCodeVerifier: (verifier) => void (store.verifier = verifier),
  codeVerifier: () => store.verifier,
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
  throw new Error("the server accepted it without a token");
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
}
const lines = readline.createInterface({ input: process.stdin });
const answer = new URL((await lines[Symbol.asyncIterator]().next()).value);
await first.finishAuth(answer.searchParams.get("code"));

const client = await connected();
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const added = await client.callTool({ name: "add_task", arguments: { title: "From TypeScript" } });
const before = store.tokens;
await auth(provider, { serverUrl: url }); // renews the tokens, because there is a refresh token
const after = await (await connected()).callTool({ name: "list_tasks", arguments: {} });
lines.close();
console.log(JSON.stringify({ tools, added, after, scope: before.scope, renewed: before.access_token !== store.tokens.access_token, tokens: store.tokens, client_id: store.client.client_id }));
process.exit(0);
