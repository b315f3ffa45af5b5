// next-auth 4, as a route of Next.js' pages router has it, against the provider: prints the sessions as JSON.
// It refreshes in the callback jwt, and signs out at the provider in the event signOut, as its documentation has it.
// usage: node next_auth.js issuer clientId secret origin cookie; the redirect URI is origin/api/auth/callback/tallygate
import { execFileSync } from 'node:child_process'
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
  callbacks: {
    async jwt({ token, account }) {
      if (account) return { ...token, tokens: account }
      return expired ? { ...token, tokens: { ...token.tokens, ...await refresh(token.tokens) } } : token
    },
    session: ({ session, token }) => ({ ...session, tokens: token.tokens }),
  },
  events: {
    async signOut({ token }) {
      await fetch(`${issuer}/oauth2/end-session?id_token_hint=${token.tokens.id_token}`)
    },
  },
}
let cookies = {}
let expired = false

async function refresh({ refresh_token }) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id: clientId, client_secret: secret })
  return (await fetch(`${issuer}/oauth2/token`, { method: 'POST', body })).json()
}

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

const csrf = async () => (await visit('GET', '/api/auth/csrf')).body.csrfToken
const session = async () => (await visit('GET', '/api/auth/session')).body

async function signIn() {
  cookies = {}
  const asked = await visit('POST', '/api/auth/signin/tallygate', { csrfToken: await csrf(), callbackUrl: origin })
  const there = asked.headers.location ?? asked.body.url
  const back = await fetch(there, { headers: { cookie: providerCookie }, redirect: 'manual' })
  await visit('GET', back.headers.get('location'))
  return session()
}

const first = await signIn()
const [program, ...rotation] = JSON.parse(process.env.ROTATE_KEYS)
execFileSync(program, rotation)
expired = true
const refreshed = await session()
expired = false
const second = await signIn()
await visit('POST', '/api/auth/signout', { csrfToken: await csrf() })
const left = await session()
const there = await fetch(`${issuer}/api/session`, { headers: { cookie: providerCookie } })
console.log(JSON.stringify({
  first: first.user, refreshed: refreshed.user, second: second.user, left, there: there.status,
  rotated: refreshed.tokens.refresh_token !== first.tokens.refresh_token,
  kids: [first, refreshed].map((each) => JSON.parse(atob(each.tokens.id_token.split('.')[0])).kid),
  refused: (await refresh(second.tokens)).error,
}))
