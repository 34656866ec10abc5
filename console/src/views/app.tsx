import { useEffect, useState } from "preact/hooks";
import { giveToken, isTokenWanted } from "../api";
import { begin, dismiss, isDrawerOpen, notices, place, spoken, watchAgain } from "../state";
import { Chat } from "./chat";
import { Icon } from "./icons";
import { Dialog } from "./parts";
import { focusComposer, Keys, listen } from "./keys";
import { Sidebar } from "./sidebar";
import { Usage } from "./usage";

export function App() {
  const [isHelpOpen, setHelp] = useState(false);
  useEffect(() => listen(() => setHelp((is) => !is)), []);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          if (!focusComposer()) document.querySelector<HTMLElement>("#main")?.focus();
        }}
      >
        To the conversation
      </a>
      <div class={`frame ${isDrawerOpen.value ? "drawer-open" : ""}`}>
        <Sidebar onHelp={() => setHelp(true)} />
        {isDrawerOpen.value && <div class="veil" onClick={() => (isDrawerOpen.value = false)} />}
        <main id="main" tabIndex={-1}>{place.value.view === "usage" ? <Usage /> : <Chat />}</main>
      </div>
      <div class="notices" role="alert">
        {notices.value.map(({ id, text }) => (
          <div class="notice" key={id}>
            <span>{text}</span>
            <button type="button" class="bare" aria-label="Dismiss" onClick={() => dismiss(id)}>
              <Icon name="cross" />
            </button>
          </div>
        ))}
      </div>
      <div class="unseen" role="status">
        {spoken.value}
      </div>
      {isTokenWanted.value && <TokenDialog />}
      {isHelpOpen && <Keys onClose={() => setHelp(false)} />}
    </>
  );
}

function TokenDialog() {
  return (
    <Dialog title="Who asks?" onClose={null}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          giveToken(String(new FormData(event.currentTarget).get("token")));
          begin();
          watchAgain();
        }}
      >
        <p>This server answers to those who show a token. It stays in this page's memory, and is gone when the page is.</p>
        <label>
          Token
          <textarea name="token" rows={4} required autocomplete="off" spellcheck={false} />
        </label>
        <div class="row end">
          <button type="submit" class="primary">
            Continue
          </button>
        </div>
      </form>
    </Dialog>
  );
}
