// Times in the reader's zone and language, numbers in their format. Without it pages show UTC and English numbers.
"use strict";
for (const time of document.querySelectorAll("time[datetime]")) {
  const day = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  time.title = time.textContent + " UTC";
  time.textContent = new Date(time.dateTime).toLocaleString(
    navigator.languages, time.classList.contains("seconds") ? clock : day);
}
for (const zone of document.querySelectorAll("footer .zone")) {
  const name = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  zone.textContent = name === "UTC" ? name : name + ", UTC where the pointer rests";
}
const parts = new Intl.NumberFormat(navigator.languages).formatToParts(1234567.8);
const group = (parts.find((part) => part.type === "group") || { value: "" }).value;
const decimal = parts.find((part) => part.type === "decimal").value;
const number = /(?<![\w.,:\/]|\w-)\d{1,3}((,\d{3})+(\.\d+)?|\.\d+)(?![\w\/]|[.,:-]\d)/g;
const translate = (text) => text.replace(/[.,]/g, (sign) => (sign === "," ? group : decimal));
if (group !== "," || decimal !== ".") {
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("a, code, pre, time, h1, blockquote, textarea, .verbatim") === null) {
      node.nodeValue = node.nodeValue.replace(number, translate);
    }
  }
}
