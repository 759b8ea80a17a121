// Windows for CT by number keys: centre and width in Hounsfield units.

export const PRESETS = [
  { key: "1", name: "soft", window: [40, 400] },
  { key: "2", name: "lung", window: [-600, 1500] },
  { key: "3", name: "bone", window: [400, 1800] },
  { key: "4", name: "brain", window: [40, 80] },
  { key: "5", name: "liver", window: [60, 160] },
  { key: "6", name: "vessel", window: [200, 600] },
] as const;

/** The range of values that a window shows (PS3.3, C.11.2.1.2.1). */
export function rangeOf([center, width]: readonly [number, number]): { lower: number; upper: number } {
  return { lower: center - 0.5 - (width - 1) / 2, upper: center - 0.5 + (width - 1) / 2 };
}

/** The window that shows a range of values. */
export function windowOf({ lower, upper }: { lower: number; upper: number }): [number, number] {
  return [Math.round((lower + upper + 1) / 2), Math.round(upper - lower + 1)];
}
