package inaetics.remote;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.lang.reflect.WildcardType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes of what travelled what a method's signature says: records of arrays and maps, numbers of the right width.
 *
 * <p>A record takes an array as its components in order (more are ignored), or a map as its components by name.
 */
public final class Convert {
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(
            boolean.class, Boolean.class, byte.class, Byte.class, short.class, Short.class, int.class, Integer.class,
            long.class, Long.class, float.class, Float.class, double.class, Double.class, char.class, Character.class);

    private Convert() {}

    /** Throws {@link IllegalArgumentException} for a value that does not fit. */
    public static Object to(Type type, Object value) {
        if (type instanceof ParameterizedType parameterized) {
            return toGeneric(parameterized, value);
        }
        if (type instanceof WildcardType wildcard) {
            return to(wildcard.getUpperBounds()[0], value);
        }
        if (!(type instanceof Class<?> wanted)) {
            return value; // a type variable says nothing
        }
        if (wanted == void.class || wanted == Void.class) {
            return null;
        }
        if (value == null) {
            if (wanted.isPrimitive()) {
                throw wrong(wanted, null);
            }
            return null;
        }
        Class<?> boxed = BOXES.getOrDefault(wanted, wanted);
        if (boxed.isInstance(value)) {
            return value;
        }
        if (value instanceof Number number && Number.class.isAssignableFrom(boxed)) {
            return number(boxed, number);
        }
        if (wanted.isRecord()) {
            return record(wanted, value);
        }
        throw wrong(wanted, value);
    }

    private static Object toGeneric(ParameterizedType type, Object value) {
        Class<?> raw = (Class<?>) type.getRawType();
        Type[] inside = type.getActualTypeArguments();
        if (value instanceof List<?> items && raw.isAssignableFrom(ArrayList.class)) {
            List<Object> found = new ArrayList<>(items.size());
            for (Object item : items) {
                found.add(to(inside[0], item));
            }
            return found;
        }
        if (value instanceof Map<?, ?> map && raw.isAssignableFrom(LinkedHashMap.class)) {
            Map<Object, Object> found = new LinkedHashMap<>();
            map.forEach((key, each) -> found.put(to(inside[0], key), to(inside[1], each)));
            return found;
        }
        return to(raw, value);
    }

    private static Object number(Class<?> wanted, Number value) {
        if (wanted == Double.class) {
            return value.doubleValue();
        }
        if (wanted == Float.class) {
            return value.floatValue();
        }
        if (value instanceof Long whole) {
            if (wanted == Integer.class && whole == whole.intValue()) {
                return whole.intValue();
            }
            if (wanted == Short.class && whole == whole.shortValue()) {
                return whole.shortValue();
            }
            if (wanted == Byte.class && whole == whole.byteValue()) {
                return whole.byteValue();
            }
            if (wanted == java.math.BigInteger.class) {
                return java.math.BigInteger.valueOf(whole);
            }
        }
        throw wrong(wanted, value);
    }

    private static Object record(Class<?> wanted, Object value) {
        RecordComponent[] components = wanted.getRecordComponents();
        Object[] fields = new Object[components.length];
        Class<?>[] types = new Class<?>[components.length];
        for (int i = 0; i < fields.length; i++) {
            types[i] = components[i].getType();
            Object field;
            if (value instanceof List<?> items && items.size() >= fields.length) {
                field = items.get(i);
            } else if (value instanceof Map<?, ?> map && map.containsKey(components[i].getName())) {
                field = map.get(components[i].getName());
            } else {
                throw wrong(wanted, value);
            }
            fields[i] = to(components[i].getGenericType(), field);
        }
        try {
            Constructor<?> constructor = wanted.getDeclaredConstructor(types);
            constructor.setAccessible(true);
            return constructor.newInstance(fields);
        } catch (InvocationTargetException error) {
            throw new IllegalArgumentException(String.valueOf(error.getCause().getMessage()), error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new IllegalArgumentException("cannot make a " + wanted.getName() + ": " + error, error);
        }
    }

    private static IllegalArgumentException wrong(Class<?> wanted, Object value) {
        String what = value == null ? "nothing" : value.getClass().getSimpleName();
        return new IllegalArgumentException("cannot take " + what + " where a " + wanted.getSimpleName() + " is expected");
    }
}
