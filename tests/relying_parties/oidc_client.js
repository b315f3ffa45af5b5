// oidc-client-ts, as a single-page app has it, against the provider: prints what it got as JSON.
// usage: node oidc_client.js issuer clientId redirectUri cookie
import { execFileSync } from 'node:child_process'
import { InMemoryWebStorage, OidcClient, WebStorageStateStore } from 'oidc-client-ts'

const [issuer, clientId, redirectUri, cookie] = process.argv.slice(2)
const client = new OidcClient({
  authority: issuer,
  client_id: clientId,
  redirect_uri: redirectUri,
  post_logout_redirect_uri: redirectUri,
  scope: 'openid profile email',
  loadUserInfo: true,
  stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
})

async function follow(address) {
  const response = await fetch(address, { headers: { cookie }, redirect: 'manual' })
  return response.headers.get('location')
}

const request = await client.createSigninRequest({ state: { page: 7 } })
const signedIn = await client.processSigninResponse(await follow(request.url))
const [program, ...rotation] = JSON.parse(process.env.ROTATE_KEYS)
execFileSync(program, rotation)
const refreshed = await client.useRefreshToken({ state: { ...signedIn, data: signedIn.userState } })
const out = await client.createSignoutRequest({ id_token_hint: refreshed.id_token })
const back = await follow(out.url)
const refused = await client.useRefreshToken({ state: { ...refreshed, data: {} } }).catch((error) => error.error)
console.log(JSON.stringify({
  profile: signedIn.profile, state: signedIn.userState, refreshed: Boolean(refreshed.access_token), back, refused,
  kids: [signedIn, refreshed].map((each) => JSON.parse(atob(each.id_token.split('.')[0])).kid),
}))
