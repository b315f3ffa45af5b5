// A certified OpenID provider that nobody here wrote, for tests and for development. Its own pages ask for any name, and
// for consent. What it is to be comes as a line of JSON on its standard input; when that is closed, it ends.
import { createInterface } from 'node:readline';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

console.warn = () => {}; // it warns of its development pages: they are meant

function provider({ issuer, client, homes, offline, accessTokenSeconds }) {
  const callbacks = (path) => homes.map((home) => `${home}${path}`);
  return new Provider(issuer, {
    clients: [{
      client_id: client.id,
      client_secret: client.secret ?? undefined,
      token_endpoint_auth_method: client.secret ? 'client_secret_basic' : 'none',
      grant_types: ['authorization_code', ...(offline ? ['refresh_token'] : [])],
      redirect_uris: callbacks(`/oauth/${client.name}/callback`),
      post_logout_redirect_uris: callbacks('/'),
      backchannel_logout_uri: `${homes[0]}/oauth/${client.name}/logout`,
      backchannel_logout_session_required: true,
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    cookies: { keys: ['of nobody who is real'] },
    features: { backchannelLogout: { enabled: true } },
    fetch: (url, { dispatcher, ...options }) => fetch(url, options), // without its guard against private addresses
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, preferred_username: id, name: `${id} Doe`, email: `${id}@corp.example`, email_verified: true,
      }),
    }),
    issueRefreshToken: (_, asking) => asking.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true, // whoever refreshes twice at a time is found out
    pkce: { required: () => true },
    ttl: { AccessToken: accessTokenSeconds, Grant: 86400, IdToken: 3600, Interaction: 3600, Session: 86400 },
  });
}

// Its pages would have the browser fetch a font from another site, and look for an icon.
async function tidied(ctx, next) {
  if (ctx.path === '/favicon.ico') ctx.status = 204;
  else await next();
  if (typeof ctx.body === 'string') ctx.body = ctx.body.replace(/@import url\([^)]*\);/, '');
}

function start(options) {
  const one = provider(options);
  one.use(tidied);
  one.on('server_error', (_, error) => console.error(error));
  createServer(one.callback()).listen({ fd: options.socket }, () => console.log('ready'));
}

createInterface({ input: process.stdin })
  .once('line', (line) => start(JSON.parse(line)))
  .once('close', () => process.exit());
