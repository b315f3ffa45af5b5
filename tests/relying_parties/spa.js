// The page's part: sign-in in a pop-up, refresh, revocation, and sign-out in a pop-up. /settings.json names the issuer.
const element = (id) => document.getElementById(id)
const say = (text) => { element('state').textContent = text }

async function main() {
  const settings = await (await fetch('/settings.json')).json()
  const manager = new oidc.UserManager({
    ...settings, scope: 'openid profile', loadUserInfo: true, automaticSilentRenew: false, monitorSession: false,
  })
  if (location.pathname === '/callback') {
    await (location.search.includes('code=') ? manager.signinPopupCallback() : manager.signoutPopupCallback())
    return
  }
  const button = (id, act) => element(id).addEventListener('click', () => act().catch((error) => say(`failed: ${error}`)))
  button('sign-in', async () => {
    const user = await manager.signinPopup({ prompt: 'login' })
    say(`signed in as ${user.profile.preferred_username}`)
  })
  button('refresh', async () => {
    const before = await manager.getUser()
    const after = await manager.signinSilent()
    say(after.refresh_token !== before.refresh_token ? 'refreshed' : 'not refreshed')
  })
  button('sign-out', async () => {
    const user = await manager.getUser()
    await manager.revokeTokens()
    await manager.signoutPopup({ id_token_hint: user.id_token })
    say('signed out again')
  })
}

main()
