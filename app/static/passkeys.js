// Passkeys. A form with data-passkey is shown where the browser knows passkeys; its button asks for one, and the form
// is sent with the browser's response. data-options are the options to make a passkey; without them one is asked for.
const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const listed = (credentials = []) => credentials.map((one) => ({ ...one, id: bytes(one.id) }));

async function made(json) {
  const options = JSON.parse(json);
  const user = { ...options.user, id: bytes(options.user.id) };
  const excludeCredentials = listed(options.excludeCredentials);
  const publicKey = { ...options, challenge: bytes(options.challenge), user, excludeCredentials };
  return navigator.credentials.create({ publicKey });
}

async function asked() {
  const answer = await fetch("/api/session/passkey-options", { method: "POST" });
  if (!answer.ok) throw new Error(answer.status);
  const options = await answer.json();
  const allowCredentials = listed(options.allowCredentials);
  return navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials } });
}

function toJson(credential) {
  const response = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[part]) response[part] = base64url(credential.response[part]);
  }
  const { id, type } = credential;
  return JSON.stringify({ id, rawId: base64url(credential.rawId), type, response, clientExtensionResults: {} });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  const button = form.querySelector("button");
  const complaint = form.querySelector("[role=alert]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    complaint.hidden = true;
    try {
      const credential = form.dataset.options ? await made(form.dataset.options) : await asked();
      form.elements[form.dataset.passkey].value = toJson(credential);
      const stay = form.elements.stay;
      if (stay && !("fixed" in stay.dataset)) {
        stay.value = document.querySelector("input[type=checkbox][name=stay]:checked") ? "on" : "";
      }
      form.submit();
    } catch {
      complaint.hidden = false;
      button.disabled = false;
    }
  });
}
