// In a web page: the TypeScript SDK connects with OAuth, in version 1 or 2. The person's consent leads back to the page,
// which then has the code in its address. It prints a report as JSON.
import * as sdk from "@modelcontextprotocol/client";
import { auth, UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const VERSIONS = { 1: { auth, UnauthorizedError, Client, StreamableHTTPClientTransport }, 2: sdk };

function providerOf(redirectUrl) {
  const read = (name) => JSON.parse(sessionStorage.getItem(name) ?? "null") ?? undefined;
  const write = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));
  return {
    redirectUrl,
    clientMetadata: {
      client_name: "A web page",
      redirect_uris: [redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    },
    clientInformation: () => read("client"),
    saveClientInformation: (client) => write("client", client),
    tokens: () => read("tokens"),
    saveTokens: (tokens) => write("tokens", tokens),
    redirectToAuthorization: (address) => location.assign(address),
    saveCodeVerifier: (verifier) => write("verifier", verifier),
    codeVerifier: () => read("verifier"),
    saveDiscoveryState: (state) => write("discovery", state),
    discoveryState: () => read("discovery"),
  };
}

export async function connect(version, url) {
  const { auth, UnauthorizedError, Client, StreamableHTTPClientTransport } = VERSIONS[version];
  const provider = providerOf(`${location.origin}${location.pathname}`);
  const open = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  const answer = new URL(location).searchParams;
  const client = new Client({ name: "web page", version: "1" }, version === 2 ? { versionNegotiation: { mode: "auto" } } : {});
  const transport = open();
  if (!answer.has("code")) {
    await client.connect(transport).catch((error) => {
      if (!(error instanceof UnauthorizedError)) throw error;
    });
    return;
  }
  await transport.finishAuth(version === 2 ? answer : answer.get("code"));
  await client.connect(open());
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  const added = await client.callTool({ name: "add_task", arguments: { title: "From a page" } });
  const before = provider.tokens();
  await auth(provider, { serverUrl: url }); // renews the tokens, because there is a refresh token
  const after = await client.callTool({ name: "list_tasks", arguments: {} });
  const renewed = before.access_token !== provider.tokens().access_token;
  const form = { token: provider.tokens().refresh_token, client_id: provider.clientInformation().client_id };
  const revoked = await fetch(new URL("/oauth/revoke", url), { method: "POST", body: new URLSearchParams(form) });
  const refused = await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${provider.tokens().access_token}` } });
  console.log(JSON.stringify({
    tools, added, after, renewed, revoked: revoked.status,
    refused: [refused.status, refused.headers.get("WWW-Authenticate")],
  }));
}
