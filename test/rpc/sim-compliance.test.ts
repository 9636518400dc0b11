// The simulated network is a network like any other.
import { compliance } from './compliance.ts';

compliance('sim');
