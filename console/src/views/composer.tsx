import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ACCEPTED, type Chosen, chosen, MOST_FILES, sized } from "../files";
import { conversation, engine, engines, isClosed, live, type Manner, say, send, sessionId, stop } from "../state";
import { Icon } from "./icons";
import { Talk } from "./talk";

/** What was begun and not sent, by session, for as long as the page lives. */
const drafts = new Map<string | null, { text: string; files: Chosen[] }>();
const MOST_PX = 280;

export function Composer() {
  const id = sessionId.value;
  const [text, setText] = useState(drafts.get(id)?.text ?? "");
  const [files, setFiles] = useState<readonly Chosen[]>(drafts.get(id)?.files ?? []);
  const [isOver, setOver] = useState(false);
  const [isSending, setSending] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const isLive = live.value !== null;

  useEffect(() => void drafts.set(id, { text, files: [...files] }), [id, text, files]);
  useLayoutEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, []);
  useLayoutEffect(() => {
    const box = area.current;
    if (box === null) return;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, MOST_PX)}px`;
  }, [text]);

  async function add(found: Iterable<File>): Promise<void> {
    for (const file of found) {
      try {
        const one = await chosen(file);
        setFiles((before) => (before.length < MOST_FILES ? [...before, one] : before));
      } catch (error) {
        say((error as Error).message);
      }
    }
    area.current?.focus();
  }

  async function submit(manner: Manner): Promise<void> {
    if (text.trim() === "" || isSending) {
      if (text.trim() === "" && files.length > 0) say("Say what shall be done with the attachments.");
      return;
    }
    setSending(true);
    const [sentText, sentFiles] = [text, files];
    setText("");
    setFiles([]);
    drafts.delete(id);
    if (!(await send(sentText, sentFiles, manner))) {
      setText((now) => now || sentText);
      setFiles((now) => (now.length > 0 ? now : sentFiles));
    }
    setSending(false);
    area.current?.focus();
  }

  if (isClosed.value) return null;
  return (
    <form
      class={`composer ${isOver ? "over" : ""}`}
      aria-label="Message"
      onSubmit={(event) => {
        event.preventDefault();
        void submit("now");
      }}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void add(event.dataTransfer?.files ?? []);
      }}
    >
      <div class="box">
        {files.length > 0 && (
          <ul class="files" aria-label="Attachments">
            {files.map((file) => (
              <li key={file.id}>
                {file.preview !== null ? <img src={file.preview} alt="" /> : <Icon name="file" />}
                <bdi>{file.fileName}</bdi> <span class="quiet">{sized(file.size)}</span>
                <button
                  type="button"
                  class="bare square"
                  aria-label={`Remove ${file.fileName}`}
                  onClick={() => setFiles(files.filter((other) => other.id !== file.id))}
                >
                  <Icon name="cross" />
                </button>
              </li>
            ))}
          </ul>
        )}
        <textarea
          id="message"
          ref={area}
          rows={1}
          aria-label="Message"
          placeholder={isLive ? "Say something else now…" : "Ask for something…"}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onPaste={(event) => {
            const pasted = [...(event.clipboardData?.files ?? [])];
            if (pasted.length === 0) return;
            event.preventDefault();
            void add(pasted);
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void submit(event.altKey ? "queue" : "now");
          }}
        />
        <div class="controls">
          <button type="button" class="bare square" aria-label="Attach" title="Attach a picture or a PDF" onClick={() => picker.current?.click()}>
            <Icon name="clip" />
          </button>
          <input
            ref={picker}
            type="file"
            accept={ACCEPTED}
            multiple
            hidden
            onChange={(event) => {
              void add([...(event.currentTarget.files ?? [])]);
              event.currentTarget.value = "";
            }}
          />
          <Talk />
          <EngineChoice />
          <span class="grow" />
          {isLive && text.trim() !== "" && (
            <button type="button" class="quiet-button" title="Send when the answer is complete (Alt Enter)" onClick={() => void submit("queue")}>
              Queue
            </button>
          )}
          {isLive && (
            <button type="button" class="stop" title="Stop the answer (Escape)" disabled={live.value?.status === "cancelling"} onClick={() => void stop()}>
              <Icon name="stop" />
              Stop
            </button>
          )}
          <button type="submit" class="primary round" aria-label="Send" title={isLive ? "Stop the answer and say this" : "Send"} disabled={text.trim() === "" || isSending}>
            <Icon name="send" />
          </button>
        </div>
      </div>
    </form>
  );
}

function EngineChoice() {
  const session = conversation.value.session;
  const own = session?.engineType ?? engines.value.find((one) => one.default)?.engineType ?? "";
  if (engines.value.length === 0) return null;
  return (
    <select
      class="engine"
      aria-label="Engine"
      title="Which engine answers next"
      value={engine.value || own}
      onChange={(event) => (engine.value = event.currentTarget.value)}
    >
      {engines.value.map((one) => (
        <option key={one.engineType} value={one.engineType} disabled={!one.available} title={one.reason ?? ""}>
          {one.engineType}
          {one.available ? "" : " (not usable)"}
        </option>
      ))}
    </select>
  );
}
