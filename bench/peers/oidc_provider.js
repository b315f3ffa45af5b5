// npm oidc-provider as an opponent: one client, ES256, everything in its own memory, and everybody is "bench" at once.
// usage: node oidc_provider.js port secret redirectUri
import { createServer } from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from '../../dev/oidc_provider/node_modules/oidc-provider/lib/index.js'

const [port, secret, redirectUri] = process.argv.slice(2)
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'app', client_secret: secret, redirect_uris: [redirectUri], id_token_signed_response_alg: 'ES256',
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  jwks: { keys: [{ ...key, alg: 'ES256', use: 'sig' }] },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: false, // the claims are in the ID token, as here
  cookies: { keys: ['of nobody who is real'] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, preferred_username: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  pkce: { required: () => true },
  ttl: { AccessToken: 3600, Grant: 86400, IdToken: 3600, Interaction: 3600, Session: 86400 },
  async loadExistingGrant({ oidc }) {
    const known = oidc.session.grantIdFor(oidc.client.clientId)
    if (known) return oidc.provider.Grant.find(known)
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
    grant.addOIDCScope('openid profile')
    await grant.save()
    return grant
  },
})
const answer = provider.callback()
createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) return answer(request, response)
  return provider.interactionFinished(request, response, { login: { accountId: 'bench' } })
}).listen(Number(port), '127.0.0.1')
