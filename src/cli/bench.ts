import type { Command } from 'commander';
export async function bench(_command: Command): Promise<void> {}
