import test from 'ava';
import { memoryMetaStores } from '../../src/storage/meta-store-memory.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { metaStoreCompliance } from './meta-store-compliance.ts';

metaStoreCompliance(test, memoryMetaStores(new NodeDisk()));
