// An OpenID provider with one client for the page and one for a service: node provider.js PORT KEY-FILE PAGE-URL
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, keyFile, page] = process.argv.slice(2);
const rights = {
  ada: { organisations: ["acme"], role: "operator" },
  loader: { organisations: ["acme"], role: "viewer" },
  stranger: {},
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [JSON.parse(readFileSync(keyFile, "utf8"))] },
  cookies: { keys: ["a key of the tests"] },
  clients: [
    { client_id: "page", token_endpoint_auth_method: "none", redirect_uris: [`${page}/sign-in/callback`] },
    {
      client_id: "loader", client_secret: "of-the-tests", redirect_uris: [], response_types: [],
      grant_types: ["client_credentials"],
    },
  ],
  claims: { openid: ["sub", "organisations", "role"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...rights[id] }) }),
  extraTokenClaims: (_, token) => rights[token.accountId ?? token.clientId],
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: "", audience: resource, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
