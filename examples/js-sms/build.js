// Turns src/app.js into a component: `npm run build`.

import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { componentize } from '@bytecodealliance/componentize-js';

const here = dirname(fileURLToPath(import.meta.url));
// The contract with the host: the folder `wit` of OneRouter's repository. An adapter that lives
// elsewhere keeps a copy of it.
const contract = process.env.ONEROUTER_WIT ?? join(here, '../../wit');
const build = join(here, 'build');

// The package of this adapter and, below `deps`, every package that it names.
const wit = join(build, 'wit');
await rm(wit, { recursive: true, force: true });
await mkdir(join(wit, 'deps/onerouter-adapter'), { recursive: true });
await cp(join(here, 'wit/world.wit'), join(wit, 'world.wit'));
await cp(join(contract, 'deps'), join(wit, 'deps'), { recursive: true });
await cp(join(contract, 'adapter.wit'), join(wit, 'deps/onerouter-adapter/adapter.wit'));

const { component } = await componentize({
  sourcePath: join(here, 'src/app.js'),
  witPath: wit,
  worldName: 'js-sms',
  // All of them would import WASI, and the host gives none: no clock, no random numbers, no output,
  // no network but `onerouter:outbound`. `enableAot` stays off: it downloads a program.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
const target = join(build, 'js-sms.wasm');
await writeFile(target, component);
console.log(target);
