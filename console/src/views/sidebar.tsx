import { useEffect, useMemo, useState } from "preact/hooks";
import { go, isDrawerOpen, list, loadMore, place, sessionId } from "../state";
import { nextTheme, theme } from "../theme";
import type { Session } from "../wire/types";
import { Icon } from "./icons";
import { focusComposer } from "./keys";
import { ago } from "./parts";

const NARROW = matchMedia("(max-width: 760px)");
const DAY_MS = 86_400_000;
const DOING: Record<string, string> = {
  queued: "waiting",
  running: "working",
  awaiting_approval: "needs approval",
  cancelling: "stopping",
};

function useNarrow(): boolean {
  const [is, set] = useState(NARROW.matches);
  useEffect(() => {
    const change = (): void => set(NARROW.matches);
    NARROW.addEventListener("change", change);
    return () => NARROW.removeEventListener("change", change);
  }, []);
  return is;
}

export function Sidebar({ onHelp }: { onHelp: () => void }) {
  const [query, setQuery] = useState("");
  const { items, more, isLoaded } = list.value;
  const words = query.trim().toLowerCase();
  // Titles are searched here, so the older ones are fetched while somebody searches.
  useEffect(() => {
    if (words !== "" && more !== null) void loadMore();
  }, [words, more]);
  const found = useMemo(() => items.filter((session) => titled(session).toLowerCase().includes(words)), [items, words]);
  const isHidden = useNarrow() && !isDrawerOpen.value;
  return (
    <aside class="sidebar" inert={isHidden} aria-label="Conversations">
      <div class="brand">
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <circle cx="8" cy="8" r="6" />
          <circle cx="8" cy="8" r="2" class="dot" />
        </svg>
        <span>agentcore</span>
      </div>
      <button
        type="button"
        class="new"
        onClick={() => {
          go("#/");
          focusComposer();
        }}
      >
        <Icon name="plus" />
        New conversation
      </button>
      <label class="search">
        <Icon name="search" />
        <input
          id="search"
          type="search"
          placeholder="Search"
          aria-label="Search conversations"
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </label>
      <nav aria-label="Conversations" class="sessions">
        {grouped(found).map(([name, group]) => (
          <section key={name} aria-label={name}>
            <h2>{name}</h2>
            <ul>
              {group.map((session) => (
                <li key={session.id}>
                  <Entry session={session} />
                </li>
              ))}
            </ul>
          </section>
        ))}
        {isLoaded && found.length === 0 && <p class="quiet">{words ? "Nothing is called that." : "Nothing was said yet."}</p>}
        {more !== null && words === "" && (
          <button type="button" class="bare more" onClick={() => void loadMore()}>
            Older conversations
          </button>
        )}
      </nav>
      <div class="foot">
        <a class="bare" href="#/usage" aria-current={place.value.view === "usage" ? "page" : undefined} onClick={() => (isDrawerOpen.value = false)}>
          <Icon name="chart" />
          Usage
        </a>
        <span class="grow" />
        <button type="button" class="bare square" aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}`} onClick={nextTheme}>
          <Icon name={theme.value === "light" ? "sun" : theme.value === "dark" ? "moon" : "half"} />
        </button>
        <button type="button" class="bare square" aria-label="Keys" title="Keys (Ctrl /)" onClick={onHelp}>
          <Icon name="help" />
        </button>
      </div>
    </aside>
  );
}

function Entry({ session }: { session: Session }) {
  const doing = DOING[session.activity];
  return (
    <a
      href={`#/s/${session.id}`}
      class={`entry ${session.status === "closed" ? "closed" : ""}`}
      aria-current={session.id === sessionId.value ? "page" : undefined}
      onClick={() => (isDrawerOpen.value = false)}
    >
      <bdi class="title">{titled(session)}</bdi>
      <span class="when">
        {doing !== undefined && <span class={`activity ${session.activity}`} title={doing} />}
        {doing !== undefined && <span class="unseen">{doing}</span>}
        {session.status === "closed" ? "closed" : ago(session.updatedAt)}
      </span>
    </a>
  );
}

export function titled({ title, voiceMode }: Session): string {
  return title || (voiceMode ? "Spoken conversation" : "Untitled");
}

function grouped(sessions: readonly Session[]): [string, Session[]][] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const groups = new Map<string, Session[]>();
  for (const session of sessions) {
    const at = Date.parse(session.createdAt);
    const name = at >= midnight ? "Today" : at >= midnight - DAY_MS ? "Yesterday" : at >= midnight - 6 * DAY_MS ? "This week" : "Earlier";
    groups.set(name, [...(groups.get(name) ?? []), session]);
  }
  return [...groups];
}
