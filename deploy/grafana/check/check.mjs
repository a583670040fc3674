// JSON that TypeScript imports forgets its words ("multi" becomes string), so each dashboard becomes a typed constant.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('../dashboards/', import.meta.url);
const boards = readdirSync(folder).map((name) => {
  const text = readFileSync(new URL(name, folder), 'utf8');
  return `export const ${name.replace('.json', '')}: Board = ${text}`;
});
writeFileSync(new URL('boards.gen.ts', import.meta.url), `import type { Board } from './board';\n${boards.join('\n')}`);
execFileSync('npx', ['tsc', '--project', 'tsconfig.json'], { stdio: 'inherit' });
console.log(`${boards.length} dashboards fit @grafana/schema`);
