// All words of the app: the one table that its parts are put together in. A key that is not here is a type error.

import { CONSOLE } from "./console.ts";
import { DAY } from "./day.ts";
import { FHIR } from "./fhir.ts";
import { IMAGES } from "./images.ts";
import { PATIENTS } from "./patients.ts";
import { REQUESTS } from "./requests.ts";
import { ROOM } from "./room.ts";
import { SHELL } from "./shell.ts";

export const WORDS = { ...SHELL, ...FHIR, ...DAY, ...PATIENTS, ...IMAGES, ...CONSOLE, ...ROOM, ...REQUESTS };

export type Key = keyof typeof WORDS;
