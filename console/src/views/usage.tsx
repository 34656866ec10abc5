/** What was used, by day and model. */
import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { attempt, isDrawerOpen } from "../state";
import type { Totals } from "../wire/types";
import { Icon } from "./icons";
import { counted, dollars, short } from "./parts";

const DAY_MS = 86_400_000;
const AT_ONCE = 4;
const SERIES = 6; // colours there are; what is used least shares the last one
const OTHER = "other models";
const WIDTH = 720;
const HEIGHT = 220;

interface Day {
  day: string;
  models: Map<string, Totals>;
}
interface Found {
  days: Day[];
  models: string[];
  total: Totals;
}
type Measure = "tokens" | "cost";

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);
const measured = (totals: Totals | undefined, measure: Measure): number =>
  totals === undefined ? 0 : measure === "tokens" ? totals.totalTokens : Number(totals.costUsd ?? 0);
const written = (amount: number, measure: Measure): string => (measure === "tokens" ? counted.format(amount) : dollars(amount));

/** The report adds up by one thing, so each day that has something is asked for its models. */
async function look(length: number): Promise<Found> {
  const today = Date.parse(dayOf(Date.now()));
  const days: Day[] = Array.from({ length }, (_, at) => ({ day: dayOf(today - (length - 1 - at) * DAY_MS), models: new Map() }));
  const from = (days[0] as Day).day;
  const [byDay, byModel] = await Promise.all([api.usage("day", from), api.usage("model", from)]);
  const busy = new Set(byDay.items.map((item) => (item.key ?? "").slice(0, 10)));
  const asked = days.filter(({ day }) => busy.has(day));
  while (asked.length > 0) {
    await Promise.all(
      asked.splice(0, AT_ONCE).map(async ({ day, models }) => {
        const { items } = await api.usage("model", day, dayOf(Date.parse(day) + DAY_MS));
        for (const item of items) models.set(item.key ?? "", item);
      }),
    );
  }
  const models = [...byModel.items].sort((a, b) => b.totalTokens - a.totalTokens).map((item) => item.key ?? "");
  return { days, models, total: byDay.total };
}

export function Usage() {
  const [length, setLength] = useState(14);
  const [measure, setMeasure] = useState<Measure>("tokens");
  const [found, setFound] = useState<Found | null>(null);
  useEffect(() => {
    document.title = "Usage · agentcore";
    void attempt(() => look(length)).then((report) => report !== null && setFound(report));
  }, [length]);
  return (
    <div class="usage">
      <header class="head">
        <button type="button" class="bare square narrow-only" aria-label="Show conversations" onClick={() => (isDrawerOpen.value = true)}>
          <Icon name="menu" />
        </button>
        <h1>Usage</h1>
        <span class="grow" />
        <select aria-label="What is counted" value={measure} onChange={(event) => setMeasure(event.currentTarget.value as Measure)}>
          <option value="tokens">Tokens</option>
          <option value="cost">Cost</option>
        </select>
        <select aria-label="How far back" value={length} onChange={(event) => setLength(Number(event.currentTarget.value))}>
          <option value={7}>7 days</option>
          <option value={14}>14 days</option>
          <option value={30}>30 days</option>
        </select>
      </header>
      <div class="log" tabIndex={0} role="region" aria-label="Report">
        <div class="column">{found === null ? <p class="quiet">Adding up…</p> : <Report found={found} measure={measure} />}</div>
      </div>
    </div>
  );
}

function Report({ found, measure }: { found: Found; measure: Measure }) {
  const { total, days, models } = found;
  const series = models.length > SERIES ? [...models.slice(0, SERIES - 1), OTHER] : models;
  const part = (day: Day, name: string): number =>
    name === OTHER
      ? models.slice(SERIES - 1).reduce((sum, model) => sum + measured(day.models.get(model), measure), 0)
      : measured(day.models.get(name), measure);
  return (
    <>
      <dl class="figures">
        <Figure name="Tasks" value={counted.format(total.tasks)} />
        <Figure name="Tokens in" value={short.format(total.inputTokens)} />
        <Figure name="Tokens out" value={short.format(total.outputTokens)} />
        <Figure name="Cost" value={total.costUsd === null ? "unknown" : dollars(Number(total.costUsd))} />
      </dl>
      <Chart days={days} series={series} part={part} measure={measure} />
      <ul class="legend">
        {series.map((name, at) => (
          <li key={name}>
            <span class={`swatch series-${at}`} />
            {name || "no model"}
          </li>
        ))}
      </ul>
      <div class="scroll" tabIndex={0} role="group" aria-label="Usage by day and model">
        <table>
          <caption class="unseen">Usage by day and model</caption>
          <thead>
            <tr>
              <th scope="col">Day</th>
              {series.map((name) => (
                <th scope="col" key={name}>
                  {name || "no model"}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {[...days]
              .filter((day) => day.models.size > 0)
              .reverse()
              .map((day) => (
                <tr key={day.day}>
                  <th scope="row">{day.day}</th>
                  {series.map((name) => (
                    <td key={name}>{written(part(day, name), measure)}</td>
                  ))}
                </tr>
              ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

interface ChartProps {
  days: Day[];
  series: string[];
  part: (day: Day, name: string) => number;
  measure: Measure;
}

function Chart({ days, series, part, measure }: ChartProps) {
  const sums = days.map((day) => series.reduce((sum, name) => sum + part(day, name), 0));
  const most = Math.max(...sums, measure === "tokens" ? 1 : 0.0001);
  const step = WIDTH / days.length;
  return (
    <svg class="chart" viewBox={`0 -18 ${WIDTH} ${HEIGHT + 40}`} role="img" aria-label={`Usage a day, at most ${written(most, measure)}`}>
      {[0, 0.5, 1].map((line) => (
        <g key={line}>
          <line x1="0" x2={WIDTH} y1={HEIGHT * (1 - line)} y2={HEIGHT * (1 - line)} />
          {line > 0 && (
            <text x="0" y={HEIGHT * (1 - line) - 5}>
              {measure === "tokens" ? short.format(most * line) : dollars(most * line)}
            </text>
          )}
        </g>
      ))}
      {days.map((day, at) => {
        let top = HEIGHT;
        return (
          <g key={day.day}>
            <title>{`${day.day}: ${written(sums[at] ?? 0, measure)}`}</title>
            {series.map((name, number) => {
              const height = (part(day, name) / most) * HEIGHT;
              top -= height;
              return height > 0 ? (
                <rect key={name} class={`series-${number}`} x={at * step + step * 0.18} width={step * 0.64} y={top} height={height} rx="2" />
              ) : null;
            })}
            {(days.length <= 14 || at % 3 === 0) && (
              <text class="day" x={at * step + step / 2} y={HEIGHT + 16}>
                {day.day.slice(8)}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}
