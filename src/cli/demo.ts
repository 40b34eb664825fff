import type { Command } from 'commander';
export async function demo(_command: Command): Promise<void> {}
