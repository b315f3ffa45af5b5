// A certified OpenID provider that nobody here wrote, on a free port of loopback; prints its issuer.
// Its own development pages ask for any name, and for consent.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [home] = process.argv.slice(2);
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'tallygate',
      client_secret: 'secret of the client',
      redirect_uris: [`${home}/oauth/real/callback`],
      post_logout_redirect_uris: [`${home}/`],
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    cookies: { keys: ['of the tests'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, preferred_username: id, name: `${id} Doe`, email: `${id}@corp.example`, email_verified: true,
      }),
    }),
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
