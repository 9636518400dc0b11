import test from 'ava';
import { MemoryMetaStore } from '../../src/storage/meta-store-memory.ts';
import { metaStoreCompliance } from './meta-store-compliance.ts';

metaStoreCompliance(test, async () => new MemoryMetaStore());
