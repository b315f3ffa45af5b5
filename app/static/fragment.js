// The fragment of a protected page: browsers keep it over redirects, but not over a form or a page that leads on.
for (const form of document.querySelectorAll("form[method=post]")) form.action += location.hash;
const onward = document.querySelector("a[data-onward]");
if (onward && location.hash) location.replace(onward.href + location.hash);
