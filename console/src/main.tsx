import { render } from "preact";
import { start } from "./state";
import { dress } from "./theme";
import { App } from "./views/app";

dress();
render(<App />, document.getElementById("app") as HTMLElement);
start();
