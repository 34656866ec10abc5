/**
 * Markdown of a model, made harmless.
 *
 * Law: what a model writes is text. HTML in it is shown and never read; nothing is fetched for it; an address becomes a
 * link only where it is written as one, goes to http, https or mail, and says which host it goes to. What is left is
 * sanitised once more, by code that others watch over.
 */
import DOMPurify from "dompurify";
import { Marked, type Token, type TokensList } from "marked";

const TAGS = "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong del a img table thead tbody tr th td span".split(" ");
const ATTRIBUTES = ["href", "title", "alt", "src", "start", "align", "data-language"];
const LINK = /^(https?:\/\/|mailto:)[^\s<>"\\]+$/i;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[a-z0-9+/=]+$/i;
const LANGUAGE = /^[\w+#.-]{1,20}/;

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  tokenizer: {
    url: () => undefined, // an address alone stays text
    autolink: () => undefined,
  },
  renderer: {
    html: ({ text, type, ...token }) => ("block" in token && token.block && type === "html" ? `<p>${escaped(text)}</p>` : escaped(text)),
    code: ({ text, lang }) =>
      `<pre data-language="${escaped(LANGUAGE.exec(lang ?? "")?.[0] ?? "")}"><code>${escaped(text)}\n</code></pre>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    link({ href, title, tokens }) {
      const inner = this.parser.parseInline(tokens);
      if (!LINK.test(href)) return inner;
      const host = hostOf(href);
      const more = inner.includes(escaped(host)) ? "" : ` <span>(${escaped(host)})</span>`;
      return `<a href="${escaped(href)}" title="${escaped(title ?? href)}">${inner}</a>${more}`;
    },
    image({ href, text }) {
      if (PICTURE.test(href)) return `<img src="${escaped(href)}" alt="${escaped(text)}">`;
      const host = hostOf(href);
      return `<span>[image not loaded: ${escaped(text)}${host ? ` (${escaped(host)})` : ""}]</span>`;
    },
  },
});

function hostOf(href: string): string {
  try {
    const address = new URL(href);
    return address.host || address.pathname;
  } catch {
    return "";
  }
}

export interface Block {
  key: string;
  token: Token;
}

/** Cut a text into blocks; while it grows, all but the last stay what they are. */
export function blocks(text: string): Block[] {
  const tokens: TokensList = marked.lexer(text);
  return tokens.filter((token) => token.type !== "space").map((token, at) => ({ key: `${at}`, token }));
}

/** Draw one block. */
export function drawn(token: Token): DocumentFragment {
  const fragment = DOMPurify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ADD_URI_SAFE_ATTR: ["start", "align", "data-language"], // else their values are taken for addresses
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/)/i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    if (!LINK.test(link.getAttribute("href") ?? "")) link.removeAttribute("href");
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const picture of fragment.querySelectorAll("img")) {
    if (!PICTURE.test(picture.getAttribute("src") ?? "")) picture.remove();
  }
  for (const table of fragment.querySelectorAll("table")) scrollable(table, "Table");
  for (const code of fragment.querySelectorAll("pre")) scrollable(code, "Code");
  return fragment;
}

/** What may be wider than the page is scrolled, with keys too. */
function scrollable(inner: Element, name: string): void {
  const around = document.createElement("div");
  around.className = name === "Code" ? "code" : "wide";
  inner.replaceWith(around);
  const region = document.createElement("div");
  region.className = "scroll";
  region.tabIndex = 0;
  region.setAttribute("role", "group");
  region.setAttribute("aria-label", name);
  if (name === "Code") {
    const head = document.createElement("div");
    head.className = "code-head";
    const language = document.createElement("span");
    language.textContent = inner.getAttribute("data-language") || "text";
    const copy = document.createElement("button");
    copy.type = "button";
    copy.textContent = "Copy";
    copy.setAttribute("aria-label", "Copy code");
    const text = inner.textContent ?? "";
    copy.addEventListener("click", () => {
      void navigator.clipboard.writeText(text.replace(/\n$/, "")).then(
        () => (copy.textContent = "Copied"),
        () => (copy.textContent = "Not allowed"),
      );
      setTimeout(() => (copy.textContent = "Copy"), 1600);
    });
    head.append(language, copy);
    around.append(head);
  }
  region.append(inner);
  around.append(region);
}
