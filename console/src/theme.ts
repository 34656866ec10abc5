/** Light, dark, or as the machine is. */
import { signal } from "@preact/signals";

const KEY = "agentcore.theme";
const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
export const theme = signal<Theme>(kept());

function kept(): Theme {
  try {
    return THEMES.find((one) => one === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system"; // storage may be forbidden
  }
}

export function dress(): void {
  document.documentElement.dataset.theme = theme.value;
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] as Theme;
  dress();
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // it holds for as long as the page does
  }
}
