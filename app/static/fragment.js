// Browsers keep a fragment over redirects, but not over forms and providers: on the way to a protected page it travels
// in `next`, in base64url.
const LONGEST = 1400;
const fragment = btoa(location.hash.slice(1)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function whole(next) {
  const isSite = next.startsWith("/gateway/authorize?") && !next.includes("&fragment=");
  return isSite ? `${next}&fragment=${fragment}` : next;
}

if (fragment && fragment.length <= LONGEST) {
  for (const input of document.querySelectorAll("input[name=next]")) input.value = whole(input.value);
  for (const link of document.querySelectorAll("a[href*='next=']")) {
    const url = new URL(link.href);
    url.searchParams.set("next", whole(url.searchParams.get("next")));
    link.href = url.href;
  }
}
const onward = document.querySelector("a[data-onward]");
if (onward) location.replace(onward.href);
