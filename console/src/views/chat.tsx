import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { closeSession, conversation, go, hurry, isCaughtUp, isClosed, isDrawerOpen, link, rename, sessionId, waiting } from "../state";
import type { Link } from "../stream";
import { Composer } from "./composer";
import { Icon } from "./icons";
import { Dialog } from "./parts";
import { titled } from "./sidebar";
import { TurnView } from "./turn";

const NEAR_PX = 120;
const SHOWN = 40; // turns that are drawn at once; the older ones when they are asked for

export function Chat() {
  const id = sessionId.value;
  return (
    <div class="chat" key={id ?? "new"}>
      <Header />
      {id === null ? <Welcome /> : link.value === "gone" ? <Gone /> : <Log />}
      {link.value !== "gone" || id === null ? <Composer /> : null}
    </div>
  );
}

function Header() {
  const { session } = conversation.value;
  const [isEditing, setEditing] = useState(false);
  const [isClosing, setClosing] = useState(false);
  const edit = useRef<HTMLButtonElement>(null);
  const title = session === null ? (sessionId.value === null ? "New conversation" : "…") : titled(session);
  useEffect(() => {
    document.title = session === null ? "agentcore" : `${title} · agentcore`;
  }, [title, session === null]);
  function done(): void {
    setEditing(false);
    setTimeout(() => edit.current?.focus());
  }
  return (
    <header class="head">
      <button type="button" class="bare square narrow-only" aria-label="Show conversations" onClick={() => (isDrawerOpen.value = true)}>
        <Icon name="menu" />
      </button>
      {isEditing ? (
        <form
          class="rename"
          onSubmit={(event) => {
            event.preventDefault();
            void rename(String(new FormData(event.currentTarget).get("title")));
            done();
          }}
        >
          <input
            name="title"
            aria-label="Title"
            maxLength={200}
            defaultValue={session?.title ?? ""}
            ref={(input) => input?.focus()}
            onKeyDown={(event) => event.key === "Escape" && done()}
            onBlur={() => setEditing(false)}
          />
        </form>
      ) : (
        <h1>
          <bdi>{title}</bdi>
        </h1>
      )}
      {session !== null && session.status !== "closed" && !isEditing && (
        <span class="actions">
          <button type="button" class="bare square" ref={edit} aria-label="Rename" title="Rename" onClick={() => setEditing(true)}>
            <Icon name="edit" />
          </button>
          <button type="button" class="bare square" aria-label="Close conversation" title="Close conversation" onClick={() => setClosing(true)}>
            <Icon name="cross" />
          </button>
        </span>
      )}
      <span class="grow" />
      {sessionId.value !== null && <Line state={link.value} />}
      <button type="button" class="bare square narrow-only" aria-label="New conversation" onClick={() => go("#/")}>
        <Icon name="plus" />
      </button>
      {isClosing && <Closing onClose={() => setClosing(false)} />}
    </header>
  );
}

const LINES: Record<Link, [string, string]> = {
  live: ["Live", "What happens is seen at once"],
  connecting: ["Connecting", "The line is being opened"],
  waiting: ["Reconnecting", "The line broke; press to try at once"],
  refused: ["Signed out", "The server wants to know who asks"],
  gone: ["Not found", "There is no such conversation"],
};

function Line({ state }: { state: Link }) {
  const [word, more] = LINES[state];
  return (
    <button type="button" class={`line ${state}`} title={more} aria-label={`Connection: ${word}`} onClick={hurry}>
      <span class="lamp" />
      {word}
    </button>
  );
}

function Closing({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Close this conversation?" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void closeSession(new FormData(event.currentTarget).has("erase"));
          onClose();
        }}
      >
        <p>What runs in it is stopped, and nothing more can be said. It can still be read.</p>
        <label class="check">
          <input type="checkbox" name="erase" /> Also erase what was said in it, for good
        </label>
        <div class="row end">
          <button type="button" onClick={onClose}>
            Keep it
          </button>
          <button type="submit" class="primary">
            Close it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Welcome() {
  return (
    <section class="log welcome" aria-label="Welcome">
      <div>
        <p class="greeting">What shall we work on?</p>
        <p class="quiet">
          Write below, speak, or drop a picture or a PDF. <kbd>Ctrl</kbd> <kbd>/</kbd> shows the keys.
        </p>
      </div>
    </section>
  );
}

function Gone() {
  return (
    <section class="log welcome" aria-label="Not found">
      <div>
        <p class="greeting">There is no such conversation.</p>
        <p class="quiet">It was erased, or belongs to somebody else.</p>
      </div>
    </section>
  );
}

function Log() {
  const log = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const [isBehind, setBehind] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const { turns } = conversation.value;
  const visible = turns.slice(-shown);

  useLayoutEffect(() => {
    const box = log.current;
    const content = inner.current;
    if (box === null || content === null) return;
    const follow = (): void => {
      if (isAtEnd.current) box.scrollTop = box.scrollHeight;
      setBehind(!isAtEnd.current);
    };
    const look = (): void => {
      isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      setBehind(!isAtEnd.current);
    };
    const sizes = new ResizeObserver(follow);
    sizes.observe(content);
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, []);

  return (
    <div class="log-frame">
      <div class="log" ref={log} role="log" aria-live="off" aria-label="Conversation" aria-busy={!isCaughtUp.value} tabIndex={0}>
        <div class="column" ref={inner}>
          {turns.length > shown && (
            <button type="button" class="bare more" onClick={() => setShown(shown + SHOWN)}>
              Show what was said before
            </button>
          )}
          {visible.map((turn) => (
            <TurnView key={turn.taskId} turn={turn} waits={waiting.value.get(turn.taskId) ?? ""} />
          ))}
          {isClosed.value && <p class="quiet centre">This conversation is closed.</p>}
        </div>
      </div>
      {isBehind && (
        <button
          type="button"
          class="latest"
          onClick={() => {
            isAtEnd.current = true;
            log.current?.scrollTo({ top: log.current.scrollHeight });
          }}
        >
          <Icon name="down" />
          Latest
        </button>
      )}
    </div>
  );
}
