/** What can be done with keys alone. */
import { go, isDrawerOpen, live, stop } from "../state";
import { Dialog } from "./parts";

const KEYS: [string, string][] = [
  ["Enter", "Send; while an answer comes, send now and stop it"],
  ["Shift Enter", "A new line"],
  ["Alt Enter", "Send when the answer is complete"],
  ["Escape", "Stop the answer (from the message)"],
  ["Alt N", "New conversation"],
  ["Ctrl K", "Search conversations"],
  ["Alt A", "To the call that waits for a decision"],
  ["Space, held", "Speak, on the button Talk"],
  ["Ctrl /", "These keys"],
];

/** Put the cursor where one writes; false: there is no such place. */
export function focusComposer(): boolean {
  const area = document.querySelector<HTMLTextAreaElement>("#message");
  area?.focus();
  return area !== null;
}

export function listen(help: () => void): () => void {
  function press(event: KeyboardEvent): void {
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "k") {
      isDrawerOpen.value = true;
      setTimeout(() => document.querySelector<HTMLInputElement>("#search")?.focus());
    } else if (command && event.key === "/") help();
    else if (event.altKey && event.code === "KeyN") {
      go("#/");
      focusComposer();
    } else if (event.altKey && event.code === "KeyA") {
      document.querySelector<HTMLElement>(".approval")?.focus();
    } else if (event.key === "Escape" && isDrawerOpen.value) {
      isDrawerOpen.value = false;
      focusComposer();
      return;
    } else if (event.key === "Escape" && (event.target as Element).id === "message" && live.value !== null) {
      void stop();
    } else return;
    event.preventDefault();
  }
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}

export function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <div class="row end">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
