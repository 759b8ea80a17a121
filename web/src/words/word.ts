// A word of the app in both languages.

export type Language = "vi" | "en";
export type Word = Readonly<Record<Language, string>>;
export type Words = Readonly<Record<string, Word>>;
