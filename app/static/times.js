// Times in the reader's time zone; without script they are in UTC.
const language = navigator.languages.find((each) => each.startsWith(document.documentElement.lang));
const format = new Intl.DateTimeFormat(language ?? document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime*=T]")) {
  time.title = time.textContent;
  time.textContent = format.format(new Date(time.dateTime));
}
