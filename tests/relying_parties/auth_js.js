// Auth.js 5 (@auth/core, which next-auth@beta and @auth/express wrap) against the provider: prints the sessions as JSON.
// usage: node auth_js.js issuer clientId secret origin cookie; the redirect URI is origin/api/auth/callback/tallygate
import { Auth } from '@auth/core'
import { execFileSync } from 'node:child_process'

const [issuer, clientId, secret, origin, providerCookie] = process.argv.slice(2)
const config = {
  secret,
  trustHost: true,
  basePath: '/api/auth',
  providers: [{
    id: 'tallygate',
    name: 'Tallygate',
    type: 'oidc',
    issuer,
    clientId,
    clientSecret: secret,
    checks: ['pkce', 'state', 'nonce'],
    profile: (claims) => ({ id: claims.sub, name: claims.preferred_username, email: claims.email }),
  }],
  callbacks: { session: ({ session, token }) => ({ ...session, idToken: token.idToken }),
    jwt: ({ token, account }) => (account ? { ...token, idToken: account.id_token } : token) },
}
let cookies = {}

// A request of the visitor's browser to a route below /api/auth.
async function visit(method, path, form) {
  const headers = { cookie: Object.entries(cookies).map((pair) => pair.join('=')).join('; ') }
  const body = form && new URLSearchParams(form)
  const response = await Auth(new Request(new URL(path, origin), { method, headers, body, redirect: 'manual' }), config)
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
    cookies[name] = value
  }
  return response
}

async function signIn() {
  cookies = {}
  const { csrfToken } = await (await visit('GET', '/api/auth/csrf')).json()
  const asked = await visit('POST', '/api/auth/signin/tallygate', { csrfToken, callbackUrl: origin })
  const there = asked.headers.get('location')
  const back = await fetch(there, { headers: { cookie: providerCookie }, redirect: 'manual' })
  await visit('GET', back.headers.get('location'))
  return (await visit('GET', '/api/auth/session')).json()
}

const first = await signIn()
const [program, ...rotation] = JSON.parse(process.env.ROTATE_KEYS)
execFileSync(program, rotation)
const kept = await (await visit('GET', '/api/auth/session')).json()
const second = await signIn()
const { csrfToken } = await (await visit('GET', '/api/auth/csrf')).json()
await visit('POST', '/api/auth/signout', { csrfToken })
const end = new URL(`${issuer}/oauth2/end-session`)
end.search = new URLSearchParams({ id_token_hint: second.idToken, post_logout_redirect_uri: `${origin}/callback` })
const ended = await fetch(end, { headers: { cookie: providerCookie }, redirect: 'manual' })
console.log(JSON.stringify({
  first: first.user, kept: kept.user, second: second.user, left: await (await visit('GET', '/api/auth/session')).json(),
  kids: [first, second].map((each) => JSON.parse(atob(each.idToken.split('.')[0])).kid), back: ended.headers.get('location'),
}))
