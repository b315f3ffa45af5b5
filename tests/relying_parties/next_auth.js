// next-auth 4, as a route of Next.js' pages router has it, against the provider: prints the session as JSON.
// usage: node next_auth.js issuer clientId secret origin cookie; the redirect URI is origin/api/auth/callback/tallygate
import NextAuth from 'next-auth'

const [issuer, clientId, secret, origin, providerCookie] = process.argv.slice(2)
process.env.NEXTAUTH_URL = origin
const options = {
  secret,
  providers: [{
    id: 'tallygate',
    name: 'Tallygate',
    type: 'oauth',
    wellKnown: `${issuer}/.well-known/openid-configuration`,
    clientId,
    clientSecret: secret,
    authorization: { params: { scope: 'openid profile email' } },
    checks: ['pkce', 'state', 'nonce'],
    client: { id_token_signed_response_alg: 'ES256' },
    idToken: true,
    profile: (claims) => ({ id: claims.sub, name: claims.preferred_username, email: claims.email }),
  }],
}
const cookies = {}

// A request of the visitor's browser to the route /api/auth/[...nextauth].
async function visit(method, path, body) {
  const url = new URL(path, origin)
  const query = { ...Object.fromEntries(url.searchParams), nextauth: url.pathname.split('/').slice(3) }
  const answer = { headers: {} }
  const response = {
    status(code) { answer.status = code; return this },
    getHeader: (name) => answer.headers[name.toLowerCase()],
    setHeader(name, value) { answer.headers[name.toLowerCase()] = value; return this },
    send(sent) { answer.body = sent },
    json(sent) { answer.body = sent },
    end() {},
    redirect(...to) { answer.headers.location = to.at(-1) },
  }
  await NextAuth.default({ method, query, body, cookies, headers: { host: url.host } }, response, options)
  for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
    const [name, value] = line.split(';')[0].split('=')
    cookies[name] = decodeURIComponent(value)
  }
  return answer
}

const { csrfToken } = (await visit('GET', '/api/auth/csrf')).body
const asked = await visit('POST', '/api/auth/signin/tallygate', { csrfToken, callbackUrl: origin })
const there = asked.headers.location ?? asked.body.url
const back = await fetch(there, { headers: { cookie: providerCookie }, redirect: 'manual' })
await visit('GET', back.headers.get('location'))
console.log(JSON.stringify((await visit('GET', '/api/auth/session')).body))
