// The app begins: language, display, links, keys, and the shell.

import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/shell.css";
import { render } from "preact";
import { applyDisplay } from "./shell/display.ts";
import { listenToKeys } from "./shell/keyboard.tsx";
import { watchLine } from "./shell/line.ts";
import { followLinks, go } from "./shell/router.ts";
import { navigable, pageAt, Shell } from "./shell/shell.tsx";
import { language, speak } from "./words/say.ts";

speak(language.value);
applyDisplay();
watchLine();
// Links of invitations lead to the start page's address: what stands behind `#` reaches no server.
if (location.hash.startsWith("#/join/")) go(`/guest${location.hash}`, { replace: true });
followLinks((path) => pageAt(path) !== undefined);
listenToKeys(navigable);

const root = document.getElementById("app");
if (root) render(<Shell />, root);
