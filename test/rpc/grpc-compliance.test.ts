import { compliance } from './compliance.ts';

compliance('grpc');
