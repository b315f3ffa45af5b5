// openid-client (certified) against the provider: prints what it got as JSON.
// usage: node openid_client.js issuer clientId secret redirectUri cookie
import * as client from 'openid-client'
import { execFileSync } from 'node:child_process'

const [issuer, clientId, secret, redirectUri, cookie] = process.argv.slice(2)
const insecure = { execute: [client.allowInsecureRequests] }
const config = await client.discovery(new URL(issuer), clientId, secret, undefined, insecure)

async function signIn(address) {
  const response = await fetch(address, { headers: { cookie }, redirect: 'manual' })
  return new URL(response.headers.get('location'))
}

const codeVerifier = client.randomPKCECodeVerifier()
const parameters = {
  redirect_uri: redirectUri,
  scope: 'openid profile email offline_access',
  code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
  code_challenge_method: 'S256',
  state: client.randomState(),
  nonce: client.randomNonce(),
}
const checks = { pkceCodeVerifier: codeVerifier, expectedState: parameters.state, expectedNonce: parameters.nonce }
const tokens = await client.authorizationCodeGrant(config, await signIn(client.buildAuthorizationUrl(config, parameters)), checks)
const claims = tokens.claims()
const user = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
const [program, ...rotation] = JSON.parse(process.env.ROTATE_KEYS)
execFileSync(program, rotation)
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
const active = await client.tokenIntrospection(config, refreshed.access_token)
const pushed = await signIn(await client.buildAuthorizationUrlWithPAR(config, parameters))
const byPush = await client.authorizationCodeGrant(config, pushed, checks)

const device = await client.initiateDeviceAuthorization(config, { scope: 'openid profile' })
const form = new URLSearchParams({ user_code: device.user_code, answer: 'allow' })
await fetch(`${issuer}/device`, { method: 'POST', headers: { cookie }, body: form })
const byDevice = await client.pollDeviceAuthorizationGrant(config, { ...device, interval: 1 })

await client.tokenRevocation(config, refreshed.refresh_token)
const dead = await client.tokenIntrospection(config, refreshed.access_token)
const end = client.buildEndSessionUrl(config, { post_logout_redirect_uri: redirectUri, id_token_hint: byPush.id_token })
const back = await signIn(end)
console.log(JSON.stringify({
  claims, user, active: active.active, dead: dead.active, pushed: byPush.claims().sub, device: byDevice.claims().sub,
  back: back.href,
}))
