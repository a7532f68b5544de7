export function addAssets(outDir: string): void;
export function stamp(outDir: string, options: { sources: boolean }): void;
