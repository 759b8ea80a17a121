// Letters at the edges of an image: which side of the patient lies there (PS3.3, C.7.6.1.1.1; LPS coordinates).

const LETTERS = [
  ["L", "R"],
  ["P", "A"],
  ["H", "F"],
] as const;
const LEAST = 0.2;

/** The letters of a direction: the strongest first, and others that matter. */
export function letterOf(direction: readonly number[]): string {
  return direction
    .map((value, axis) => ({ size: Math.abs(value), letter: LETTERS[axis]?.[value > 0 ? 0 : 1] ?? "" }))
    .filter(({ size }) => size > LEAST)
    .toSorted((one, other) => other.size - one.size)
    .map(({ letter }) => letter)
    .join("");
}

/** The letters at the four edges, by where up is and from where one looks. */
export function lettersOf(up: readonly number[], normal: readonly number[]) {
  const [a = 0, b = 0, c = 0] = up;
  const [d = 0, e = 0, f = 0] = normal;
  const right = [b * f - c * e, c * d - a * f, a * e - b * d];
  const minus = (direction: readonly number[]) => direction.map((value) => -value);
  return { top: letterOf(up), bottom: letterOf(minus(up)), right: letterOf(right), left: letterOf(minus(right)) };
}
